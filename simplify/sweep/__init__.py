"""A question with axes: what a sweep file says, the runs it comes to, and how they stand."""
