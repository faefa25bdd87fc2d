"""Finding, loading, choosing and checking backends.

Entry points are resolved here, because pluggy's own loader stops at the first broken plugin and picks silently
between two of the same name. Listing reads metadata only; loading imports one backend and no other; checking imports
it in another process. Each has a module of its own, so that listing imports no more than it needs.
"""
