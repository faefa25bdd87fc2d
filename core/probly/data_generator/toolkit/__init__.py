"""What an author of a backend imports: samples, batches, nests, outputs, options, digests."""
