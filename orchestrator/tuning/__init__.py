"""Search space x seeds -> Ray Tune trials."""
