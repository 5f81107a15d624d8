"""Networks for images, in our own words; each file names the architecture it follows."""
