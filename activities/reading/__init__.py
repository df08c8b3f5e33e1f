"""What readers are told: tables, holds, stories, each on the record."""
