"""How fast somebody who trusts nobody checks a bundle, with one file and the interpreter."""
