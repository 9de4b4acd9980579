"""python -m posewright.cli"""

from posewright.cli import main

raise SystemExit(main())
