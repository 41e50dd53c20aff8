#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""durable_check.py crashes RUN COUNT SEED: crashes of the host at COUNT moments of a recorded run
durable_check.py killed RUN: the disks as they are
durable_check.py initial RAW: makes the raw disk

RUN is a folder: `initial` has what the run began with, files, log and raw (with overlays also overlay_files and overlay_raw, which are
empty). A recorded run has `events` (tests/linux/durable_disk.c), another one the disks themselves. What is checked at each
crash, and what a crash may do, is told in docs/testing.md."""
import bisect
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

SECTOR, BLOCK = 512, 4096
SLOTS, LOG_SECTORS, RAW_WRITERS, RAW_SECTORS, RAW_INITIAL = 24, 4096, 2, 2048, 0xffffffff
ABSENT, PRESENT, UNSURE = range(3)
RAW_WRITE, RAW_ZERO, RAW_DISCARD, RAW_FLUSH = range(4)
ZEROES = bytes(SECTOR)
WAYS = ("all", "none", "some", "torn", "one", "all but one", "first", "last")
FILES = ("files", "log", "raw", "overlay_files", "overlay_raw")


class Lost(Exception):
    pass


def expect(is_well, *what):
    if not is_well:
        raise Lost(" ".join(map(str, what)))


class Change:
    """A write, zeroes, or a file's size."""

    def __init__(self, kind, offset, size, data):
        self.kind, self.offset, self.size, self.data = kind, offset, size, data
        self.answered = False

    def apply(self, image, start=0, end=None):
        end = self.size if end is None else end
        if self.kind == "s":
            if self.size < len(image):
                del image[self.size:]
            else:
                image.extend(bytes(self.size - len(image)))
            return
        at = self.offset + start
        if at + end - start > len(image):
            image.extend(bytes(at + end - start - len(image)))
        image[at:at + end - start] = self.data[start:end] if self.kind == "w" else bytes(end - start)

    def pieces(self, start):
        """What a disk writes at once: a sector; but ext4 cannot do with half of its superblock, as it does not journal what it
        needs to find its journal. `start`: of the file system in the file."""
        piece = SECTOR if self.kind == "w" or self.size <= 65536 else 65536
        ends = [at for at in range(piece, self.size, piece) if self.offset + at != start + 1024 + SECTOR] + [self.size]
        return list(zip([0] + ends[:-1], ends))


class Disk:
    """A file: what is surely on stable storage, and the changes since."""

    def __init__(self, path, start):
        self.start = start
        with open(path, "rb") as file:
            self.stable = bytearray(file.read())
        self.newest = bytearray(self.stable)
        self.pending = []
        self.flushes = self.changes = 0

    def change(self, change):
        change.apply(self.newest)
        self.pending.append(change)
        self.changes += 1

    def flush(self, flushed):
        for change in flushed:
            change.apply(self.stable)
        done = set(map(id, flushed))
        self.pending = [change for change in self.pending if id(change) not in done]
        self.flushes += 1

    def crash(self, way, chance):
        """What a crash leaves: each sector as one of the changes since the last flush has made it, or as it was before."""
        image, pending = bytearray(self.stable), self.pending
        sizes = [change for change in pending if change.kind == "s"]
        if sizes and way != "all" and (way == "none" or chance.random() < 0.5):
            return image  # its size is not there, and so nothing is
        for change in sizes:
            change.apply(image)
        changes = [change for change in pending if change.kind != "s" and change.size]
        chosen = chance.randrange(len(changes)) if changes else 0
        for number, change in enumerate(changes):
            if way == "torn" or (way in ("first", "last") and number == chosen):
                for start, end in change.pieces(self.start):
                    if chance.random() < 0.5:
                        change.apply(image, start, end)
            elif (way == "all" or (way == "some" and chance.random() < 0.5)
                    or (way == "one" and number == chosen) or (way == "all but one" and number != chosen)
                    or (way == "first" and number < chosen) or (way == "last" and number > chosen)):
                change.apply(image)
        return image


def merge(base, file):
    """The disk that an overlay's file makes of its base (docs/devices.md)."""
    if not file:
        return base
    blocks = len(base) // BLOCK
    expect(len(base) % BLOCK == 0, "the base ends within a block")
    start = BLOCK + -(-blocks // (8 * BLOCK)) * BLOCK
    expect(len(file) == start + len(base), "FILE has", len(file), "bytes")
    expect(file[:16] in (bytes(16), b"vmm overlay 1\n\0\0"), "FILE has the header", bytes(file[:16]))
    bits = int.from_bytes(file[BLOCK:BLOCK + -(-blocks // 8)], "little")
    if not any(file[:16]):
        expect(bits == 0, "FILE has bits, but no header")
    image = bytearray(base)
    block = 0
    while bits >> block:
        if bits >> block & 1:
            image[block * BLOCK:(block + 1) * BLOCK] = file[start + block * BLOCK:start + (block + 1) * BLOCK]
        block += 1
    return image


class Notes:
    """What the guest has noted: of its files the last record, of each raw writer all."""

    def __init__(self):
        self.files, self.raw = [], [[] for _ in range(RAW_WRITERS)]

    def add(self, sector, data):
        """A sector of the log."""
        writer, n = divmod(sector, LOG_SECTORS)
        magic, number, word = struct.unpack_from("<8sII", data)
        expect(magic == (b"durable1" if writer == 0 else b"durable2") and number == n, "the log's sector", sector)
        if writer == 0:
            slots = [struct.unpack_from("<III", data, 16 + slot * 12) for slot in range(SLOTS)]
            self.files.append((word, slots))
        else:
            self.raw[writer - 1].append((word, *struct.unpack_from("<II", data, 16)))

    def read(self, log):
        """All of it, which was written in order: where it ends, nothing follows."""
        for writer in range(RAW_WRITERS + 1):
            is_over = False
            for n in range(LOG_SECTORS):
                at = (writer * LOG_SECTORS + n) * SECTOR
                data = log[at:at + SECTOR]
                is_record = data != ZEROES
                expect(not (is_record and is_over), "the log lacks the sector before", writer, n)
                is_over = not is_record
                if is_record:
                    self.add(at // SECTOR, data)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def check_files(image, notes, work):
    """The file system recovers, is sound then, and has what the guest has flushed. The number of files compared."""
    path, tree = os.path.join(work, "image"), os.path.join(work, "tree")
    with open(path, "wb") as file:
        file.write(image)
    code, text = run("e2fsck", "-p", path)  # the journal, and the list of orphans
    expect(code in (0, 1), "e2fsck -p:", code, text)
    code, text = run("e2fsck", "-fn", path)
    expect(code == 0, "e2fsck -fn after recovery:", code, text)
    if not notes.files:
        return 0
    shutil.rmtree(tree, ignore_errors=True)
    os.mkdir(tree)
    code, text = run("debugfs", "-R", " ".join(["rdump"] + [f"/d{n}" for n in range(4)] + [tree]), path)
    expect(code == 0, "debugfs:", text)
    touches, slots = notes.files[-1]
    compared = 0
    for slot, (state, size, crc) in enumerate(slots):
        name = os.path.join(tree, f"d{slot % 4}", f"f{slot}")
        data = None
        if os.path.exists(name):
            with open(name, "rb") as file:
                data = file.read()
        what = f"after batch {len(notes.files) - 1}, file {slot}"
        if data is not None:
            check_sectors(data, what)
        if state == UNSURE or touches >> slot & 1:
            continue
        compared += 1
        if state == ABSENT:
            expect(data is None, what, "was flushed as removed, and is there")
            continue
        expect(data is not None, what, "was flushed, and is not there")
        expect((len(data), zlib.crc32(data)) == (size, crc), what, "was flushed with other contents: of", size,
               "bytes, has", len(data))
    return compared


def check_sectors(data, what):
    """Whatever was flushed of it: each sector is whole, and was written by somebody for a file."""
    for at in range(0, len(data), SECTOR):
        sector = data[at:at + SECTOR]
        expect(sector == ZEROES or (sector[:8] == b"durable1" and sector == sector[:16] * (SECTOR // 16)), what,
               "has a sector that nobody wrote, at", at, bytes(sector[:32]))


def raw_sector(n, sector):
    return struct.pack("<8sII", b"durable2", n, sector) * (SECTOR // 16)


class Raw:
    """For each sector of the raw disk, in order, the steps that changed it."""

    def __init__(self, notes):
        self.steps = {}
        for writer, records in enumerate(notes.raw):
            for n, (step, first, sectors) in enumerate(records):
                for sector in range(first, first + sectors):
                    self.steps.setdefault(sector, ([], []))
                    self.steps[sector][0].append(n)
                    self.steps[sector][1].append((writer, step))

    def check(self, image, begun, sure):
        """begun: of each writer, how many of its steps have begun; sure: how many surely are on the disk."""
        for sector in range(RAW_SECTORS):
            if sector not in self.steps:
                expect(image[sector * SECTOR:(sector + 1) * SECTOR] == raw_sector(RAW_INITIAL, sector), "raw sector", sector,
                       "was never written, and is not as it was")
        for sector, (numbers, steps) in self.steps.items():
            writer = steps[0][0]
            end = bisect.bisect_left(numbers, begun[writer])
            first = bisect.bisect_left(numbers, sure[writer]) - 1
            data = image[sector * SECTOR:(sector + 1) * SECTOR]
            if data == ZEROES:
                expect(any(step != RAW_WRITE for _, step in steps[max(first, 0):end]), "raw sector", sector,
                       "is zeroes; step", numbers[max(first, 0)], "of writer", writer, "wrote it")
                continue
            n = struct.unpack_from("<8xI", data)[0]
            at = bisect.bisect_left(numbers, n)
            expect(data == raw_sector(n, sector), "raw sector", sector, "has what nobody wrote:", bytes(data[:32]))
            if n == RAW_INITIAL and first < 0:
                continue
            expect(max(first, 0) <= at < end and numbers[at] == n and steps[at][1] == RAW_WRITE, "raw sector", sector,
                   "has what step", n, "of writer", writer, "wrote; sure were the first", sure[writer], "of", begun[writer])


def sure_steps(records):
    """Of those before the last flush that was answered."""
    for n in range(len(records) - 2, -1, -1):
        if records[n][0] == RAW_FLUSH:
            return n
    return 0


def load_events(path):
    with open(path, "rb") as file:
        text = file.read()
    at, events = 0, []
    while at < len(text):
        kind, number, ident, offset, size = struct.unpack_from("<cB6xQQQ", text, at)
        at += 32
        data = None
        if kind == b"w":
            data = text[at:at + size]
            at += size
        events.append((kind.decode(), number, ident, offset, size, data))
    return events


def choose_moments(events, count, chance):
    """Half of them anywhere, the others just after an answer to a flush or a note of the guest."""
    special = [n + 1 for n, event in enumerate(events) if event[0] == "w" and event[1] == 1]
    flushes = {event[2] for event in events if event[0] == "f"}
    special += [n + 1 for n, event in enumerate(events) if event[0] == "e" and event[2] in flushes]
    return sorted(chance.choice(special) if chance.random() < 0.5 else chance.randrange(1, len(events) + 1)
                  for _ in range(count))


class Recording:
    def __init__(self, folder):
        initial = os.path.join(folder, "initial")
        starts = {"files": 0, "overlay_files": 2 * BLOCK}
        self.disks = [Disk(os.path.join(initial, name), starts.get(name, -BLOCK)) for name in FILES
                      if os.path.exists(os.path.join(initial, name))]
        self.events = load_events(os.path.join(folder, "events"))
        self.notes, self.open, self.flushed = Notes(), {}, {}
        everything = Notes()
        for kind, number, _, offset, size, data in self.events:
            if number == 1 and kind == "w":
                expect(size == SECTOR, "a note of", size, "bytes")
                everything.add(offset // SECTOR, data)
        self.raw = Raw(everything)

    def play(self, event):
        kind, number, ident, offset, size, data = event
        disk = self.disks[number]
        if kind == "f":
            self.flushed[ident] = [change for change in disk.pending if change.answered]
        elif kind == "e":
            if ident in self.flushed:
                disk.flush(self.flushed.pop(ident))
            else:
                self.open.pop(ident).answered = True
        else:
            self.open[ident] = Change(kind, offset, size, data)
            disk.change(self.open[ident])
            if number == 1:
                self.notes.add(offset // SECTOR, data)

    def crash(self, way, chance, work):
        images = [disk.crash(way, chance) if number != 1 else None for number, disk in enumerate(self.disks)]
        if len(images) == 5:
            expect(self.disks[0].changes + self.disks[2].changes == 0, "a base was written")
            images[0], images[2] = merge(images[0], images[3]), merge(images[2], images[4])
        self.raw.check(images[2], [len(records) for records in self.notes.raw], [sure_steps(records) for records in self.notes.raw])
        return check_files(images[0], self.notes, work)


def crashes(folder, count, seed):
    chance = random.Random(seed)
    recording = Recording(folder)
    moments, played, compared = choose_moments(recording.events, count, chance), 0, 0
    ways, lost = {}, 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as work:
        for moment in moments:
            while played < moment:
                recording.play(recording.events[played])
                played += 1
            way = chance.choice(WAYS)
            ways[way] = ways.get(way, 0) + 1
            pending = sum(len(disk.pending) for disk in recording.disks if disk is not recording.disks[1])
            try:
                compared += recording.crash(way, chance, work)
            except Lost as what:
                lost += 1
                print(f"LOST: {folder}: event {moment} of {len(recording.events)}, {way} of {pending} changes: {what}")
                if lost == 5:
                    break
    flushes = sum(disk.flushes for disk in recording.disks)
    print(f"{os.path.basename(folder)}: {len(moments)} crashes, {lost} lost; {len(recording.events)} events, {flushes} flushes, "
          f"{len(recording.notes.files)} batches; {compared} states of files and {len(recording.raw.steps)} raw sectors compared")
    return lost == 0


def killed(folder):
    """Every answered write is there, because the host's page cache outlives the monitor; of an overlay's, whose map of blocks
    is written by flushes, those that were flushed."""
    data = {}
    for name in FILES:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            path = os.path.join(folder, "initial", name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                data[name] = bytearray(file.read())
    notes = Notes()
    try:
        notes.read(data["log"])
        expect(notes.files, "the guest had not begun")
        if "overlay_files" in data:
            data["files"] = merge(data["files"], data["overlay_files"])
            data["raw"] = merge(data["raw"], data["overlay_raw"])
        begun = [len(records) for records in notes.raw]
        sure = [sure_steps(records) for records in notes.raw] if "overlay_raw" in data else [max(n - 1, 0) for n in begun]
        Raw(notes).check(data["raw"], begun, sure)
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as work:
            compared = check_files(data["files"], notes, work)
    except Lost as what:
        print(f"LOST: {folder}: {what}")
        return False
    print(f"{os.path.basename(folder)}: killed at batch {len(notes.files) - 1}, raw steps {begun}; {compared} files compared")
    return True


if __name__ == "__main__":
    if sys.argv[1] == "crashes":
        sys.exit(not crashes(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    if sys.argv[1] == "killed":
        sys.exit(not killed(sys.argv[2]))
    with open(sys.argv[2], "wb") as made:
        made.write(b"".join(raw_sector(RAW_INITIAL, n) for n in range(RAW_SECTORS)))
