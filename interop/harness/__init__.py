"""Shared parts of the interop suites: installing clients, starting servers, running steps with a time limit."""
