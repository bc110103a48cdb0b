"""Everything `make run` needs on a machine that has nothing: servers from wheels, roles, processes, a browser.

Imports no Django: it starts the product from outside, like an operator would.
"""
