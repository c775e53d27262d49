"""Writes window_funnel.jsonl and retention.jsonl: cases made here, answered by ClickHouse.

    pip install chdb
    python3 clickhouse.py
"""

import json
import random
from pathlib import Path

import chdb

HERE = Path(__file__).parent
ORDERS = 5  # each case is asked in its own order, and in this many others
AT_ONCE = 100  # questions in a query

random.seed(20260101)


def event(timestamp, steps, *taken):
    """An event that meets the conditions of the steps `taken`, counted from 1."""
    return [timestamp, [step in taken for step in range(1, steps + 1)]]


def funnel(window, steps, *events):
    """A case of events written as (timestamp, taken, taken, ...)."""
    return {"window": window, "steps": steps, "events": [event(t, steps, *taken) for t, *taken in events]}


def hand_made():
    day = 86_400_000_000
    noon = 1_767_268_800_000_000
    for steps in [1, 2, 3, 4, 5, 6, 7, 8, 32]:
        every = range(1, steps + 1)
        for window in [0, 1, 10, day] if steps <= 8 else [10]:
            yield funnel(window, steps)
            yield funnel(window, steps, (7,))
            yield funnel(window, steps, (7, 1))
            yield funnel(window, steps, (7, steps))
            yield funnel(window, steps, (7, *every))
            yield funnel(window, steps, (0, *every), (0, *every))
            yield funnel(window, steps, *[(7, step) for step in every])
            yield funnel(window, steps, *[(7, step) for step in reversed(every)])
            yield funnel(window, steps, *[(7 + step, step) for step in every])
            yield funnel(window, steps, *[(7 + step, step) for step in reversed(every)])
            yield funnel(window, steps, *[(70 - step, step) for step in every])
            yield funnel(window, steps, *[(noon + step * day // 4, step) for step in every])
            # The last step on the end of the window, one before it and one after it.
            for off in [-1, 0, 1]:
                end = noon + max(window + off, 0)
                yield funnel(window, steps, *[(noon, step) for step in every[:-1]], (end, steps))
                yield funnel(window, steps, (noon, *every[:-1]), (end, *every[1:]))
            # A chain that is begun again, at whose end the first has run out, or has not got as far.
            if steps > 1:
                yield funnel(window, steps, (5, 1), (6, *every[:-1]), (6 + window, steps))
                yield funnel(window, steps, (5, *every[:-1]), (6, 1), (5 + window, steps), (6 + window, steps))
                yield funnel(window, steps, (5, *every[:-1]), (6, *every[:-2]), (6 + window, steps))
    # Chains that began at different times, and steps in between that belong to none.
    yield funnel(10, 3, (0, 1), (5, 1), (6, 2), (14, 3))
    yield funnel(10, 3, (0, 1), (4, 2), (5, 1), (12, 3))
    yield funnel(10, 3, (0, 1), (4, 2), (5, 1), (12, 3), (13, 2), (15, 3))
    yield funnel(10, 4, (0, 1), (1, 3), (2, 2), (3, 4), (4, 3))
    yield funnel(10, 2, (3, 2), (3, 1))
    yield funnel(10, 3, (3, 2, 3), (3, 1))
    yield funnel(10, 3, (3, 1, 3), (3, 2))


def random_funnels():
    for _ in range(1600):
        steps = random.choice([1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8, 8] + [32] * (random.random() < 0.3))
        # A few instants for many events make ties; a window of about as many makes its end matter.
        instants = random.choice([1, 2, 4, 8, 16, 64])
        window = random.choice([0, 1, 2, 3, instants // 4, instants // 2, instants, 10 * instants])
        offset, unit = random.choice([(0, 1), (0, 1), (0, 1), (1_700_000_000_000_000, 1_000_000)])
        events = []
        for _ in range(random.randrange(13) if steps <= 8 else random.randrange(30, 45)):
            taken = random.choices(range(1, steps + 1), k=random.choice([0, 1, 1, 1, 1, 2, 3]))
            events.append(event(offset + unit * random.randrange(instants), steps, *taken))
        # Often the steps are about in order, so that some get far.
        if random.random() < 0.6:
            times = sorted(timestamp for timestamp, _ in events)
            events.sort(key=lambda e: (e[1].index(True) if any(e[1]) else 0) + random.random() * 1.5)
            events = [[timestamp, taken] for timestamp, (_, taken) in zip(times, events)]
            random.shuffle(events)
        yield {"window": unit * window, "steps": steps, "events": events}


def retentions():
    for conditions in range(2, 9):
        yield {"conditions": conditions, "rows": []}
        for only in range(conditions):
            yield {"conditions": conditions, "rows": [[i == only for i in range(conditions)]]}
        yield {"conditions": conditions, "rows": [[i > 0 for i in range(conditions)]]}
        yield {"conditions": conditions, "rows": [[i == row for i in range(conditions)] for row in range(conditions)]}
    for _ in range(400):
        conditions = random.choice([2, 3, 4, 5, 6, 7, 8, 32])
        often = random.choice([0.05, 0.2, 0.5])
        rows = [[random.random() < often for _ in range(conditions)] for _ in range(random.randrange(7))]
        yield {"conditions": conditions, "rows": rows}


def array(values, kind):
    return f"[{','.join(str(int(value)) for value in values)}]::Array({kind})"


def ask_funnel(case, events):
    conditions = [array([taken[step] for _, taken in events], "UInt8") for step in range(case["steps"])]
    timestamps = array([timestamp for timestamp, _ in events], "UInt64")
    return f"arrayReduce('windowFunnel({case['window']})', {timestamps}, {', '.join(conditions)})"


def ask_retention(case, rows):
    conditions = [array([row[i] for row in rows], "UInt8") for i in range(case["conditions"])]
    return f"arrayReduce('retention', {', '.join(conditions)})"


def answers(questions):
    for begin in range(0, len(questions), AT_ONCE):
        query = "SELECT " + ", ".join(f"{q} AS c{i}" for i, q in enumerate(questions[begin : begin + AT_ONCE]))
        yield from json.loads(chdb.query(query, "JSONCompactEachRow").bytes())


def write(name, cases, rows, ask, answer, converted):
    """Cases once each, with what ClickHouse answers; those that it answers differently in another order are told of."""
    cases = list({json.dumps(case): case for case in cases}.values())
    found = list(answers([ask(case, case[rows]) for case in cases]))
    orders = set()
    for _ in range(ORDERS):
        others = answers([ask(case, random.sample(case[rows], len(case[rows]))) for case in cases])
        orders |= {i for i, other in enumerate(others) if other != found[i]}
    with open(HERE / name, "w") as out:
        for i, case in enumerate(cases):
            if i not in orders:
                out.write(json.dumps({**case, answer: converted(found[i])}, separators=(",", ":")) + "\n")
    print(f"{name}: {len(cases) - len(orders)} cases, and {len(orders)} that the order of rows decides")


print(f"ClickHouse {json.loads(chdb.query('SELECT version()', 'JSONCompactEachRow').bytes())[0]}, chdb {chdb.__version__}")
write("window_funnel.jsonl", [*hand_made(), *random_funnels()], "events", ask_funnel, "level", int)
write("retention.jsonl", retentions(), "rows", ask_retention, "result", lambda met: [bool(m) for m in met])
