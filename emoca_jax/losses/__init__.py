"""Losses: pure functions of arrays that compute values; weights, masks in time and schedules are applied outside."""
