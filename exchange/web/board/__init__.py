"""The hospital's pages: who leaves for a care home, what is still to fix and by whom, what each home has read and said."""
