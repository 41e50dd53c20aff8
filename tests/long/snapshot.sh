#!/bin/bash
# SPDX-License-Identifier: MIT
# Snapshots in number: 1,000 clones and a pool of 300; up to 60 random moments of each of seven guests, and 200 under vsock load; 1,000 hostile files.
set -u
folder=$(dirname "$0")/../guest
CLONES=1000 POOL=300 TIME_LIMIT=900 "$folder/snapshot-many.sh" && SNAPSHOTS=60 "$folder/snapshot-moments.sh" &&
	SNAPSHOTS=200 "$folder/snapshot-vsock.sh" && MUTATIONS=500 TIME_LIMIT=900 "$folder/snapshot-hostile.sh" &&
	echo "1,000 clones, 300 that wait, 500 random moments, 1,000 hostile files"
