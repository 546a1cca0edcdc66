"""An event bus behind an EventBridge global endpoint, in two Regions, with consumers in both."""
