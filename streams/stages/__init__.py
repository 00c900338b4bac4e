"""The stages: decode, ask the policy, write, ack. Each states its guarantee, and what a crash at each step does."""
