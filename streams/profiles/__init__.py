"""Profiles of users from a user service over HTTP: who is asked, what is remembered, and what an answer means."""
