"""Our commands, one module each; each is an entry point of the group ``probly.data_generator.commands``."""
