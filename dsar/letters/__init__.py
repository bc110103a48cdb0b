"""Letters to the subject of a request: written in the transaction of what they tell of, sent by a job."""
