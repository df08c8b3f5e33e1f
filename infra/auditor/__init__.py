"""What an auditor takes along: programs that stand alone, without the rest of the project."""
