"""What containers and batch systems leave of a machine, and how many threads LAPACK gets of it."""

import os
import threading

import psutil
import pytest

from rfdsm import _machine as machine

GB = 2**30
FREE = 50 * GB
V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
V2 = "memory.max", "memory.current", "inactive_file"
# What /proc/self/cgroup and /proc/self/mountinfo say, files of groups as (limit, usage, cached), and what is left.
TREES = {
    "version 2, in a container": (
        "0::/",
        "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate",
        V2,
        {"/sys/fs/cgroup": (4 * GB, 3 * GB, GB)},
        2 * GB,
    ),
    "version 2, a batch job in a slice": (
        "0::/system.slice/job_7/step_0",
        "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw",
        V2,
        {
            "/sys/fs/cgroup/system.slice/job_7/step_0": ("max", GB, 0),
            "/sys/fs/cgroup/system.slice/job_7": (8 * GB, 2 * GB, 0),
            "/sys/fs/cgroup/system.slice": (20 * GB, 15 * GB, 0),
        },
        5 * GB,
    ),
    "version 1, the group of the container is its root": (
        "12:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n1:name=systemd:/docker/ab\n0::/",
        "31 30 0:27 /docker/ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n"
        "34 30 0:28 /docker/ab /sys/fs/cgroup/memory ro master:17 - cgroup cgroup rw,memory",
        V1,
        {"/sys/fs/cgroup/memory": (3 * GB, GB, GB // 2)},
        5 * GB // 2,
    ),
    "version 1, a group that is mounted elsewhere": (
        "4:memory:/kubepods/pod",
        "34 30 0:28 /other /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
        V1,
        {"/sys/fs/cgroup/memory": (3 * GB, GB, 0), "/sys/fs/cgroup/memory/kubepods": (GB, 0, 0)},
        2 * GB,
    ),
    "version 1, job within a session": (
        "4:memory:/slurm/job",
        "34 30 0:28 / /cgroup/memory rw - cgroup cgroup rw,memory",
        V1,
        {"/cgroup/memory/slurm": (6 * GB, 2 * GB, 0), "/cgroup/memory": (2**63 - 4096, 9 * GB, 0)},
        4 * GB,
    ),
    "version 1, no limit": (
        "4:memory:/",
        "34 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
        V1,
        {"/sys/fs/cgroup/memory": (2**63 - 4096, 9 * GB, 0)},
        FREE,
    ),
    "used up": (
        "0::/",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        V2,
        {"/sys/fs/cgroup": (GB, GB + 4096, 0)},
        0,
    ),
    "no groups": ("", "21 30 0:19 / /proc rw - proc proc rw", V2, {}, FREE),
}


@pytest.mark.parametrize("name", TREES)
def test_the_limit_of_a_container_counts_as_memory(name, tmp_path, monkeypatch):
    groups, mounts, (limit, usage, cached), files, expected = TREES[name]
    proc = tmp_path / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(groups)
    (proc / "mountinfo").write_text(mounts)
    for folder, (most, used, dropped) in files.items():
        place = tmp_path / folder.strip("/")
        place.mkdir(parents=True, exist_ok=True)
        (place / limit).write_text(f"{most}\n")
        (place / usage).write_text(f"{used}\n")
        (place / "memory.stat").write_text(f"inactive_anon 5\n{cached} {dropped}\nactive_file 7\n")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": FREE}))
    assert machine.available_memory(str(tmp_path)) == expected


def test_no_more_memory_than_the_machine_has():
    assert 0 < machine.available_memory() <= psutil.virtual_memory().total
    assert machine.available_memory("/nowhere") > 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_cores_are_those_this_process_may_use():
    mine = os.sched_getaffinity(0)
    assert machine.cores() == len(mine)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, mine)


def test_lapack_gets_half_of_the_cores_and_its_threads_back(monkeypatch):
    """Contexts of several threads overlap; who asked for fewer threads keeps them."""

    def numbers():
        return [library.num_threads for library in machine._libraries()]

    assert numbers()
    before = numbers()
    try:
        for library in machine._libraries():
            library.set_num_threads(6)
        monkeypatch.setattr(machine, "cores", lambda: 8)
        first, second = machine.lapack_threads(), machine.lapack_threads()
        first.__enter__()
        assert set(numbers()) == {4}
        thread = threading.Thread(target=second.__enter__)
        thread.start()
        thread.join()
        first.__exit__(None, None, None)
        assert set(numbers()) == {4}
        second.__exit__(None, None, None)
        assert set(numbers()) == {6}
        for few in (1, 2):
            monkeypatch.setattr(machine, "cores", lambda few=few: few)
            with machine.lapack_threads():
                assert set(numbers()) == {1}
        with pytest.raises(ZeroDivisionError), machine.lapack_threads():
            raise ZeroDivisionError
        assert set(numbers()) == {6}
        monkeypatch.setattr(machine, "cores", lambda: 64)
        with machine.lapack_threads():
            assert set(numbers()) == {6}
    finally:
        for library, number in zip(machine._libraries(), before, strict=True):
            library.set_num_threads(number)
