"""Features of the images of a data set: how they are made, and kept."""
