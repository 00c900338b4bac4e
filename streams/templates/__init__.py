"""Where templates come from: a folder of files, the topic `templates`, the types file; and who keeps them all."""
