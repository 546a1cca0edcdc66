"""One file per kind of fault: parameters and a read-only `prepare`, nothing else. An injector never measures."""
