"""Fits a line and a forest to made-up measurements, and says how well they fit."""

import argparse
import json
import sys

import numpy
import pandas
import scipy.stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split


def measurements(count):
    random = numpy.random.default_rng(7)
    hours = random.uniform(0, 24, count)
    load = 3 * hours + random.normal(0, 4, count)
    return pandas.DataFrame({"hour": hours, "load": load})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="how many measurements")
    arguments = parser.parse_args()
    table = measurements(arguments.count)
    line = scipy.stats.linregress(table["hour"], table["load"])
    train, test = train_test_split(table, random_state=7)
    forest = RandomForestRegressor(n_estimators=20, random_state=7)
    forest.fit(train[["hour"]], train["load"])
    score = forest.score(test[["hour"]], test["load"])
    print(json.dumps({"slope": round(line.slope, 3), "forest": round(score, 3), "rows": len(table)}))
    return 0 if abs(line.slope - 3) < 0.2 and score > 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
