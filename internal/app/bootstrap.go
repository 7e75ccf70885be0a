package app

import (
	"context"
	"fmt"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/rest"
)

// FirstStart is what the first start made. Password is set only when it was generated: print it once,
// never log it.
type FirstStart struct {
	Group    auth.Group
	Admin    auth.Person
	Password string
}

// Bootstrap makes the first dealer group and its first administrator in an empty installation. It returns
// nil when there is a group already, as made by another server that starts at the same time.
func (s *Server) Bootstrap(ctx context.Context, group string) (first *FirstStart, err error) {
	err = s.stores.FirstStart(ctx, func() error {
		first, err = s.bootstrap(ctx, group)
		return err
	})
	return first, err
}

func (s *Server) bootstrap(ctx context.Context, group string) (*FirstStart, error) {
	list, err := s.Groups.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(list) > 1 {
		return nil, nil
	}
	var first FirstStart
	if len(list) == 1 { // whole, unless a crash came between the group and its administrator
		if _, n, err := s.People.List(ctx, list[0].ID, rest.Page{Limit: 1}); err != nil || n > 0 {
			return nil, err
		}
		first.Group = list[0]
	} else if first.Group, err = s.Groups.Add(ctx, audit.System("first start"), group); err != nil {
		return nil, err
	}
	return &first, s.addAdmin(ctx, &first)
}

func (s *Server) addAdmin(ctx context.Context, first *FirstStart) error {
	password, err := SecretFrom("CARFLUENCE_ADMIN_PASSWORD")
	if err != nil {
		return err
	}
	d := auth.PersonDraft{Email: s.config.AdminEmail, Name: "Administrator", Role: auth.RoleAdmin}
	if password != "" {
		d.Password = &password
	}
	first.Admin, first.Password, err = s.People.Create(ctx, first.Group.ID, audit.System("first start"), d)
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	return nil
}
