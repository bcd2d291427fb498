"""Files that are written whole or not at all, and weight files of Keras 2."""
