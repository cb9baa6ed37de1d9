"""Where things lie: the folder of the suites, the project, and the ignored folder for everything made here."""

import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent
PROJECT = HERE.parent
WORK = HERE / ".work"
LOGS = WORK / "logs"
BROKER_JARS = WORK / "jars" / "broker"
TOOLS_JARS = WORK / "jars" / "tools"
LOG4J = HERE / "kafka" / "log4j2.properties"
