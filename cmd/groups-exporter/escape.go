package main

import "github.com/spf13/cobra"

func newEscapeCommand() *cobra.Command { return &cobra.Command{Use: "escape"} }
func newGroupsCommand(getenv func(string) string) *cobra.Command { return &cobra.Command{Use: "groups"} }
