"""A comparison as a W&B report: what it shows, and where it is put. Needs the extra `report`."""
