"""The doing: one concern per module or package; it knows no workflow and no worker."""
