"""Who made a hit: a person, a robot, or a machine on a person's behalf."""
