"""What goes into a bundle as it is: the verifier and the page for the auditor. Neither knows anything of ours."""
