"""From images to parses: the one path that evaluation, prediction and exported models share."""
