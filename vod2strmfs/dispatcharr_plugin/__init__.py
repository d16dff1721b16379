"""The plugin for Dispatcharr: its settings form and buttons, on the same core as everything else.

It has two halves. `plugin`, `actions`, `launch`, `periodic`, `runs`, `places` and `processes` are loaded by Dispatcharr
into its web workers and its Celery workers, from the plugin's folder. They know the standard library alone, and
Dispatcharr's own modules where they have to; they import one another relatively. `start` and `work` are a process of
their own, which is where all work is done: `form`, `manifest` and the rest of vod2strmfs are only loaded there.
"""
