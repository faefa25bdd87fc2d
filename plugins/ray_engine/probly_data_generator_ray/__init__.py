"""The Ray engine of probly.data_generator: actors on any number of machines fill one store."""
