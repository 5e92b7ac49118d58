"""What Prometheus is told: the metrics, how they are counted across workers, and how they are served.

Imported only where `--metrics` asks for it: nothing else here knows of
prometheus_client, and without it nothing is counted.
"""
