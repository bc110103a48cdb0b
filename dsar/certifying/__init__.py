"""What proves an erasure to somebody who trusts nobody: the signed certificate."""
