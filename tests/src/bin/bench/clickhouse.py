"""The same funnel by ClickHouse in process (PyPI: chdb), over the same events: seconds for each round, with all cores and
with one. The events come from a file: customer, microseconds, stage."""

import sys
import time

from chdb import session

path, rounds = sys.argv[1], int(sys.argv[2])
clickhouse = session.Session()


def run(query):
    return str(clickhouse.query(query, "TSV")).strip()


run("create database bench")
run(
    "create table bench.events (customer UUID, occurred_at UInt64, stage LowCardinality(String)) "
    "engine = MergeTree order by occurred_at"
)
run(f"insert into bench.events select * from file('{path}', TSV, 'customer UUID, occurred_at UInt64, stage String')")

funnel = """
select countIf(level >= 1), countIf(level >= 2), countIf(level >= 3), countIf(level >= 4)
from (
  select windowFunnel(2592000000000)(
    occurred_at, stage = 'lead', stage = 'marketing', stage = 'trial', stage = 'active'
  ) as level
  from bench.events
  group by customer
)
settings max_threads = {}
"""
for threads in ("0", "1"):
    query = funnel.format(threads)
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        answer = run(query)
        taken.append(time.perf_counter() - begun)
    print(answer.replace("\t", ","), *taken)
