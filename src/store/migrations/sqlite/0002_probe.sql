-- Written over and over, to find out whether a write reaches the disk.
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), filler BLOB NOT NULL) STRICT;
