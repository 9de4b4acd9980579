"""python -m posewright"""

from posewright.cli import main

raise SystemExit(main())
