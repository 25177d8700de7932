// Where the marks of a board ({time, text, is_resumed}: a pause, a resume) stand on an axis of points.

const pen = document.createElement("canvas").getContext("2d");

/** The words of a mark that fit whole into so many pixels: all, or those before the reason; else none. */
export function fitting(text, room, font) {
  pen.font = font;
  return [text, text.split(": ")[0]].find((words) => pen.measureText(words).width <= room) ?? "";
}

/** The marks that lie on the axis, with `at`: 0 is the middle of the first point's step, 0.5 the end of it. */
export function lines(marks, rows, column, step) {
  const starts = rows.map((row) => Date.parse(row[column]));
  const placed = [];
  for (const { time, text, is_resumed: isResumed } of marks) {
    const moment = Date.parse(time);
    const index = starts.findLastIndex((start) => start <= moment);
    if (index < 0) continue;
    const length = (starts[index + 1] ?? starts[index] + step) - starts[index];
    const share = (moment - starts[index]) / length;
    if (share < 1) placed.push({ time, text, isResumed: Boolean(isResumed), at: index + share - 0.5 });
  }
  return placed.sort((one, other) => one.at - other.at);
}
