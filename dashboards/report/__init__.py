"""The report: the Overview of a day or a week as an email."""
