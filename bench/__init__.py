"""The measuring ground: throughput, latency, growth and cost, each in alternation with what it is compared to."""
