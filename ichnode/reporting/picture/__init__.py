"""What the pictures of a result look like: slices, heat maps, a chart and words, drawn with Pillow."""
