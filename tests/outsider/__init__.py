"""A package of somebody else's: it adds one of each thing and edits nothing of ours."""

from acquaint_gym.envs.registration import register_task

register_task("outsider/Tea-v0", "outsider.task:Tea")
