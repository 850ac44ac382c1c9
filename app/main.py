"""The script that Streamlit runs: `streamlit run main.py -- RUN`, or CURATE_RUN=RUN."""

from curate.core.bundled import bundled_module

bundled_module("app", "shell").main()
