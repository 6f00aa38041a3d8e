"""The served models: `loaded_model` is one version in memory, `registry` holds all of them."""
