"""Moving an installation to more partitions: its state is written anew under other names, the old one is retired."""
