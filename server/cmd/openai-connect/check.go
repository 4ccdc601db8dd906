package main

type checkCommand struct {
	serverFlags `embed:""`
}

func (c *checkCommand) Run() error { return nil }
