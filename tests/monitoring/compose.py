#!/usr/bin/env python3
"""compose.py BIN - compose.yaml as far as it can be checked where there is no Docker.

Every key is one of the Compose specification; what is named is there: images or a build,
profiles, services, networks, volumes, files, programs and their settings; and only loopback
is published. That it starts is not checked.
"""
import pathlib
import re
import subprocess
import sys
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.argv.pop(1))
TOP = {"name", "services", "networks", "volumes"}
SERVICE = {"image", "build", "command", "profiles", "restart", "ports", "networks", "volumes",
           "environment", "depends_on", "deploy", "read_only", "tmpfs", "cap_drop",
           "security_opt", "stop_grace_period", "healthcheck"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
PROFILES = {"tracing": {"jaeger"}, "monitoring": {"prometheus", "alertmanager", "grafana"}}


def settings_of(program):
    """The variables that a program names in its --help; all programs read OTEL_* too."""
    said = subprocess.run([BIN / program, "--help"], capture_output=True, text=True, check=False)
    return set(re.findall(r"\b[A-Z][A-Z0-9_]{3,}\b", said.stdout + said.stderr))


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = (ROOT / "compose.yaml").read_text()
        cls.all = yaml.safe_load(cls.text)
        cls.services = cls.all["services"]

    def test_every_key_is_one_of_the_specification(self):
        own = {key for key in self.all if not key.startswith("x-")}
        self.assertLessEqual(own, TOP)
        for name, service in self.services.items():
            self.assertLessEqual(set(service), SERVICE, name)
            self.assertTrue(service.get("image") or service.get("build"), name)

    def test_what_a_service_names_is_there(self):
        for name, service in self.services.items():
            with self.subTest(name):
                for other, how in service.get("depends_on", {}).items():
                    self.assertIn(other, self.services)
                    self.assertIn(how["condition"], CONDITIONS)
                self.assertLessEqual(set(service.get("networks", [])), set(self.all["networks"]))
                for mount in service.get("volumes", []):
                    source, target = mount.split(":")[:2]
                    self.assertTrue(target.startswith("/"), mount)
                    if source.startswith("."):
                        self.assertTrue((ROOT / source).exists(), mount)
                    else:
                        self.assertIn(source, self.all["volumes"])

    def test_profiles_hold_what_is_not_omnis(self):
        found = {}
        for name, service in self.services.items():
            for profile in service.get("profiles", []):
                found.setdefault(profile, set()).add(name)
            if service.get("profiles"):
                self.assertRegex(service["image"], r":v?\d", f"{name} has no fixed version")
        self.assertEqual(found, PROFILES)
        for name in PROFILES:
            self.assertIn(f"--profile {name}", self.text)

    def test_ports_are_published_on_loopback_only(self):
        for name, service in self.services.items():
            for port in service.get("ports", []):
                self.assertRegex(port, r"^127\.0\.0\.1:", name)

    def test_omnis_programs_run_with_settings_they_know_and_no_rights(self):
        ours = {name: service for name, service in self.services.items()
                if not service.get("profiles")}
        self.assertEqual(len(ours), 10)
        for name, service in ours.items():
            with self.subTest(name):
                program = service["command"][0]
                self.assertTrue((BIN / program).exists(), program)
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                wanted = {key for key in service.get("environment", {})
                          if not key.startswith("OTEL_")}
                # What all services share is in each one's environment, whether it reads it or not.
                shared = set(self.all["x-environment"])
                self.assertLessEqual(wanted - shared, settings_of(program))

    def test_prometheus_looks_for_every_program_that_has_metrics(self):
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        [names] = [one["names"] for job in config["scrape_configs"]
                   for one in job["dns_sd_configs"]]
        programs = {name for name, service in self.services.items()
                    if not service.get("profiles")} - {"init"}
        self.assertEqual(set(names), programs)

    def test_the_viewer_of_traces_is_where_the_comment_says(self):
        self.assertIn("http://jaeger:4318", self.text)
        self.assertIn("OTEL_EXPORTER_OTLP_ENDPOINT", self.all["x-environment"])


if __name__ == "__main__":
    unittest.main()
