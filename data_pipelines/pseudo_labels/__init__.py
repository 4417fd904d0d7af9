"""Photos to labels, by the networks that ship or converted ones: `python -m data_pipelines.pseudo_labels`."""
